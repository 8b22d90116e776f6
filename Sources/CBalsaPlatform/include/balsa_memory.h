// Memory operations that Swift has no words for, as inline functions: they are inlined into Swift code without any flag.
// Swift's own atomics need a typed place to live in; these work on any address, which is what structures in an arena need.
#ifndef BALSA_MEMORY_H
#define BALSA_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Loads that see everything that was written before the release store which they read.
static inline uint8_t balsa_load_acquire_8(const void *place) {
    return __atomic_load_n((const uint8_t *)place, __ATOMIC_ACQUIRE);
}
static inline uint16_t balsa_load_acquire_16(const void *place) {
    return __atomic_load_n((const uint16_t *)place, __ATOMIC_ACQUIRE);
}
static inline uint32_t balsa_load_acquire_32(const void *place) {
    return __atomic_load_n((const uint32_t *)place, __ATOMIC_ACQUIRE);
}
static inline uint64_t balsa_load_acquire_64(const void *place) {
    return __atomic_load_n((const uint64_t *)place, __ATOMIC_ACQUIRE);
}

// Loads of which only the value counts.
static inline uint8_t balsa_load_relaxed_8(const void *place) {
    return __atomic_load_n((const uint8_t *)place, __ATOMIC_RELAXED);
}
static inline uint64_t balsa_load_relaxed_64(const void *place) {
    return __atomic_load_n((const uint64_t *)place, __ATOMIC_RELAXED);
}

// Stores that publish everything that was written before them.
static inline void balsa_store_release_8(void *place, uint8_t value) {
    __atomic_store_n((uint8_t *)place, value, __ATOMIC_RELEASE);
}
static inline void balsa_store_release_16(void *place, uint16_t value) {
    __atomic_store_n((uint16_t *)place, value, __ATOMIC_RELEASE);
}
static inline void balsa_store_release_32(void *place, uint32_t value) {
    __atomic_store_n((uint32_t *)place, value, __ATOMIC_RELEASE);
}
static inline void balsa_store_release_64(void *place, uint64_t value) {
    __atomic_store_n((uint64_t *)place, value, __ATOMIC_RELEASE);
}
// The same, as a call into another file: the compiler moves nothing past it. Swift's optimizer may move a retain down past
// a plain store, since a store releases nothing. But after this store another thread may free what was to be retained.
void balsa_store_release_64_opaque(void *place, uint64_t value);
static inline void balsa_store_relaxed_8(void *place, uint8_t value) {
    __atomic_store_n((uint8_t *)place, value, __ATOMIC_RELAXED);
}

// Sequentially consistent operations: a pin of an epoch must be seen before the pinned reader loads anything.
static inline uint64_t balsa_load_64(const void *place) {
    return __atomic_load_n((const uint64_t *)place, __ATOMIC_SEQ_CST);
}
static inline void balsa_store_64(void *place, uint64_t value) {
    __atomic_store_n((uint64_t *)place, value, __ATOMIC_SEQ_CST);
}
static inline bool balsa_compare_exchange_64(void *place, uint64_t expected, uint64_t desired) {
    return __atomic_compare_exchange_n(
        (uint64_t *)place, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST
    );
}
static inline uint64_t balsa_fetch_add_64(void *place, uint64_t value) {
    return __atomic_fetch_add((uint64_t *)place, value, __ATOMIC_SEQ_CST);
}

// Asks for a cache line that will be read soon.
static inline void balsa_prefetch(const void *place) { __builtin_prefetch(place, 0, 3); }

// How many of `count` ascending 32-bit heads are less than `head`. Without a branch that depends on the data, which a
// processor would guess wrong half of the time; Swift's optimizer turns the same expression back into a branch.
static inline size_t balsa_lower_bound_32(const uint32_t *heads, size_t count, uint32_t head) {
    const uint32_t *base = heads;
    while (count > 1) {
        size_t half = count / 2;
        base = __builtin_unpredictable(base[half - 1] < head) ? base + half : base;
        count -= half;
    }
    return (size_t)(base - heads) + (count == 1 && *base < head);
}

// The same for 64-bit heads.
static inline size_t balsa_lower_bound_64(const uint64_t *heads, size_t count, uint64_t head) {
    const uint64_t *base = heads;
    while (count > 1) {
        size_t half = count / 2;
        base = __builtin_unpredictable(base[half - 1] < head) ? base + half : base;
        count -= half;
    }
    return (size_t)(base - heads) + (count == 1 && *base < head);
}

#endif
