/* Random calls of the whole family on any number of threads: every block keeps its pattern and its
   alignment until the end, whoever frees it. */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { SLOTS = 512, ROUNDS = 60000 };
struct owned { unsigned char *block; size_t size; unsigned mark; };

static struct { atomic_flag busy; struct owned owned; } mailbox[SLOTS];

static unsigned next(unsigned *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static size_t any_size(unsigned random)
{
    switch (random % 16) {
    case 0: return random / 16 % 200000;
    case 1: case 2: return random / 16 % 9000;
    case 3: return 0;
    default: return random / 16 % 400;
    }
}

static void check(struct owned *owned)
{
    CHECK(!owned->block || is_filled(owned->block, owned->size, owned->mark));
}

static void *allocate(unsigned kind, size_t size, size_t *align)
{
    void *block = NULL;
    *align = size <= 8 ? 8 : 16;
    switch (kind % 6) {
    case 0: return calloc(size, 1);
    case 1: *align = 16u << kind / 6 % 10; return aligned_alloc(*align, size);
    case 2: *align = 8u << kind / 6 % 6; CHECK(!posix_memalign(&block, *align, size)); return block;
    default: return malloc(size);
    }
}

static void renew(struct owned *owned, unsigned random)
{
    size_t size = any_size(random), align = 8;
    check(owned);
    if (owned->block && random % 5 == 0 && size) {
        size_t kept = size < owned->size ? size : owned->size;
        CHECK(owned->block = realloc(owned->block, size));
        CHECK(is_filled(owned->block, kept, owned->mark));
    } else {
        free(owned->block);
        CHECK(owned->block = allocate(random >> 4, size, &align));
    }
    CHECK((uintptr_t)owned->block % align == 0 && malloc_usable_size(owned->block) >= size);
    owned->size = size, owned->mark = random;
    fill(owned->block, size, random);
}

static void swap(struct owned *owned, unsigned random)
{
    unsigned at = random % SLOTS;
    if (atomic_flag_test_and_set(&mailbox[at].busy))
        return;
    struct owned other = mailbox[at].owned;
    mailbox[at].owned = *owned;
    *owned = other;
    atomic_flag_clear(&mailbox[at].busy);
}

static void *work(void *seed)
{
    struct owned *own = calloc(SLOTS, sizeof *own);
    unsigned state = (unsigned)(size_t)seed;
    for (int round = 0; round < ROUNDS; round++) {
        struct owned *owned = &own[next(&state) % SLOTS];
        renew(owned, next(&state));
        if (round % 4 == 0)
            swap(owned, next(&state));
    }
    for (int at = 0; at < SLOTS; at++) {
        check(&own[at]);
        free(own[at].block);
    }
    free(own);
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    pthread_t all[64];
    CHECK(threads >= 1 && threads <= 64);
    for (size_t at = 0; at < (size_t)threads; at++)
        CHECK(pthread_create(&all[at], NULL, work, (void *)(at * 7919 + 1)) == 0);
    for (int at = 0; at < threads; at++)
        CHECK(pthread_join(all[at], NULL) == 0);
    for (int at = 0; at < SLOTS; at++) {
        check(&mailbox[at].owned);
        free(mailbox[at].owned.block);
    }
    puts("every block kept its pattern");
    return 0;
}
