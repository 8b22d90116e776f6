// What Swift cannot import from the C library or express itself: system calls that Glibc's module map hides, and the
// CRC32C instructions. Nothing here decides anything.
#ifndef C_BALSA_PLATFORM_H
#define C_BALSA_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "balsa_memory.h"
#include "balsa_sockets.h"

// CRC-32C of `length` bytes, continuing from `crc`; 0 to begin with. A null `data` is allowed for length 0.
uint32_t balsa_crc32c(uint32_t crc, const void *data, size_t length);
uint32_t balsa_crc32c_table(uint32_t crc, const void *data, size_t length);
bool balsa_crc32c_has_hardware(void);

// memcmp, which does not allow null pointers, where either may be null for length 0.
static inline int balsa_compare(const void *left, const void *right, size_t length) {
    return length == 0 ? 0 : memcmp(left, right, length);
}

// preadv2 with RWF_NOWAIT: returns -1 with EAGAIN where the read would have to wait for the disk.
ssize_t balsa_pread_nowait(int descriptor, void *buffer, size_t count, off_t offset);

// open with O_PATH: a descriptor that only takes a number, since it can neither be read nor written.
int balsa_open_placeholder(void);

// How many names an open file has, or -1 with an error number. It asks for nothing else: since Linux 6.13 the next
// write to a file whose times somebody asked for changes them, and each sync then writes the inode as well.
int64_t balsa_link_count(int descriptor);

// getrandom, waiting for the kernel's pool: returns how many bytes were filled, or -1 with an error number.
ssize_t balsa_random(void *buffer, size_t count);

#endif
