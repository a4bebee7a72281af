/* Eight threads: malloc, calloc, realloc and free, 100,000 times in all; blocks change threads. */
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, ROUNDS = 12500, SLOTS = 64 };
struct block { size_t size; unsigned mark; unsigned char bytes[]; };
static struct block *_Atomic mailbox[SLOTS];

static struct block *filled(struct block *block, size_t size, unsigned mark)
{
    CHECK(block);
    *block = (struct block){ size, mark };
    fill(block->bytes, size, mark);
    return block;
}

static struct block *step(struct block *block, int round, unsigned random)
{
    size_t size = random % 50 == 0 ? random % 200000 : random % 300, whole = sizeof *block + size;
    if (!block)
        return filled(random & 1 ? malloc(whole) : calloc(1, whole), size, random);
    CHECK(is_filled(block->bytes, block->size, block->mark));
    if (round % 3 == 0) {
        size_t kept = size < block->size ? size : block->size;
        CHECK((block = realloc(block, whole)) && is_filled(block->bytes, kept, block->mark));
        return filled(block, size, random);
    }
    free(block);
    return NULL;
}

static void *work(void *seed)
{
    struct block *own[SLOTS] = { 0 };
    unsigned random = (unsigned)(size_t)seed;
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 1664525 + 1013904223;
        struct block **slot = &own[random >> 26];
        *slot = step(*slot, round, random >> 4);
        *slot = atomic_exchange(&mailbox[round % SLOTS], *slot);
    }
    for (int at = 0; at < SLOTS; at++)
        free(own[at]);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (size_t at = 0; at < THREADS; at++)
        CHECK(pthread_create(&threads[at], NULL, work, (void *)(at * 77 + 1)) == 0);
    for (size_t at = 0; at < THREADS; at++)
        CHECK(pthread_join(threads[at], NULL) == 0);
    for (int at = 0; at < SLOTS; at++)
        free(mailbox[at]);
    puts("every block kept its content");
    return 0;
}
