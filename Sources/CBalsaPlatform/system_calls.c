#include "CBalsaPlatform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <sys/random.h>
#include <sys/socket.h>
#endif

ssize_t balsa_pread_nowait(int descriptor, void *buffer, size_t count, off_t offset) {
#if defined(__linux__) && defined(RWF_NOWAIT)
    struct iovec vector = {.iov_base = buffer, .iov_len = count};
    return preadv2(descriptor, &vector, 1, offset, RWF_NOWAIT);
#else
    (void)descriptor, (void)buffer, (void)count, (void)offset;
    errno = EAGAIN;
    return -1;
#endif
}

int64_t balsa_link_count(int descriptor) {
#if defined(__linux__) && defined(STATX_NLINK)
    // A filter of system calls that does not know this one may refuse it. Then the older one tells the same.
    struct statx extended;
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_NLINK, &extended) == 0) return extended.stx_nlink;
#endif
    struct stat status;
    if (fstat(descriptor, &status) != 0) return -1;
    return (int64_t)status.st_nlink;
}

ssize_t balsa_random(void *buffer, size_t count) {
#if defined(__linux__)
    return getrandom(buffer, count, 0);
#else
    arc4random_buf(buffer, count);
    return (ssize_t)count;
#endif
}

#if defined(__linux__)
int balsa_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }
#endif

int balsa_open_placeholder(void) {
#if defined(__linux__)
    return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
#else
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
#endif
}
