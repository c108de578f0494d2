/*
 * Sends or receives as it is told, and prints what it counted itself, as JSON: the ground truth of the tests.
 * messages MSQID nowait|block CALLS SIZE  msgsnd of SIZE bytes at most (the n-th: n % (SIZE + 1)), until CALLS are made
 * messages MSQID alarm CALLS USEC         msgsnd that a signal with a handler interrupts every USEC
 * messages MSQID fault CALLS              msgsnd from an address that is not there
 * messages MSQID i386 CALLS SIZE          msgsnd by the system call ipc of 32-bit programs, on x86-64
 * messages MSQID take MESSAGES TYPE       msgrcv of that type until MESSAGES are there
 * messages MSQID move HERE THERE          msgsnd of 1 byte, HERE times; then in an IPC namespace of its own, with msgrcv
 * messages MSQID peek 1                   msgsnd of 1 byte twice, msgrcv once, then a look at the other (MSG_COPY)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/time.h>
#include <time.h>

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

struct message {
	long type;
	char text[1 << 16];
};

static unsigned long sent, sent_bytes, received, received_bytes, failed[200];
static unsigned long long ns;

static void handler(int number) { (void)number; }

static unsigned long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_BOOTTIME, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static long ipc32(int msqid, const void *message, long size, int flags)
{
#ifdef __x86_64__
	long result;
	asm volatile("int $0x80" : "=a"(result) : "a"(117), "b"(11), "c"(msqid), "d"(size), "S"(flags), "D"(message) : "memory");
	if (result < 0) { errno = -result; return -1; }
	return result;
#else
	errno = ENOSYS;
	return -1;
#endif
}

static int move(int msqid, struct message *message, long here, long there)
{
	int queue;
	for (long call = 0; call < here; call++)
		if (msgsnd(msqid, message, 1, 0)) { perror("msgsnd"); return 1; }
	if (unshare(CLONE_NEWIPC) || (queue = msgget(IPC_PRIVATE, 0600)) < 0) { perror("unshare"); return 1; }
	for (long call = 0; call < there; call++)
		if (msgsnd(queue, message, 1, 0) || msgrcv(queue, message, 1, 0, 0) != 1) { perror("elsewhere"); return 1; }
	printf("{\"sent\": %ld, \"elsewhere\": %ld}\n", here, there);
	return 0;
}

static int peek(int msqid, struct message *message)
{
	if (msgsnd(msqid, message, 1, 0) || msgsnd(msqid, message, 1, 0)) { perror("msgsnd"); return 1; }
	if (msgrcv(msqid, message, 1, 0, 0) != 1) { perror("msgrcv"); return 1; }
	int peeked = msgrcv(msqid, message, 1, 0, MSG_COPY | IPC_NOWAIT) == 1;
	printf("{\"peeked\": %d}\n", peeked);
	return 0;
}

int main(int count, char **words)
{
	int msqid = atoi(words[1]);
	const char *what = words[2];
	long calls = atol(words[3]), last = count > 4 ? atol(words[4]) : 0;
	struct message *message = mmap(NULL, sizeof *message, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	message->type = 1;
	if (!strcmp(what, "move")) return move(msqid, message, calls, last);
	if (!strcmp(what, "peek")) return peek(msqid, message);
	if (!strcmp(what, "alarm")) {
		struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
		struct itimerval every = {{0, last}, {0, last}};
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &every, NULL);
	}
	for (long call = 0; !strcmp(what, "take") ? received < (unsigned long)calls : call < calls; call++) {
		long size = !strcmp(what, "alarm") ? 1 : call % (last + 1);
		if (!strcmp(what, "i386")) {
			*(int *)message = 1; /* a long of 32 bits, and the text right behind it */
			if (ipc32(msqid, message, size, 0) == 0) { sent++; sent_bytes += size; }
			else { failed[errno]++; }
		} else if (strcmp(what, "take")) {
			const void *from = !strcmp(what, "fault") ? (void *)8 : message;
			unsigned long long begin = now();
			int result = msgsnd(msqid, from, size, !strcmp(what, "nowait") ? IPC_NOWAIT : 0);
			ns += now() - begin;
			if (result == 0) { sent++; sent_bytes += size; }
			else { failed[errno]++; }
		} else {
			ssize_t size = msgrcv(msqid, message, sizeof message->text, last, 0);
			if (size < 0) { perror("msgrcv"); return 1; }
			received++;
			received_bytes += size;
		}
	}
	signal(SIGALRM, SIG_IGN);
	printf("{\"sent\": %lu, \"sent_bytes\": %lu, \"received\": %lu, \"received_bytes\": %lu, \"ns\": %llu", sent, sent_bytes,
	       received, received_bytes, ns);
	for (int number = 0; number < 200; number++)
		if (failed[number]) printf(", \"%s\": %lu", strerrorname_np(number), failed[number]);
	printf("}\n");
	return 0;
}
