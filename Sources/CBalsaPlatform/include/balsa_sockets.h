// The kernel's readiness interface, whose headers Glibc's module map leaves out, and the socket calls that are GNU's own.
#ifndef BALSA_SOCKETS_H
#define BALSA_SOCKETS_H

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/eventfd.h>

// accept4: the next connection of a listening socket, not blocking and closed in programs that the process starts.
int balsa_accept(int listener);
#endif

#endif
