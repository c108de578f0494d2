"""What several tests share: programs under test, servers, pages, fakes."""
