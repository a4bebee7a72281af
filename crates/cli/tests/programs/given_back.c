/* Small blocks, 190 MiB of them, all freed: the memory goes back to the system without another
   call, and a thread that frees what another one allocated changes nothing about that. */
#include "check.h"
#include "resident.h"
#include <pthread.h>

enum { BLOCKS = 1500000, LEFT_MAX = 35 << 10 };

static void **blocks;

static void take(void)
{
    unsigned random = 1;
    for (int at = 0; at < BLOCKS; at++) {
        random = random * 1664525 + 1013904223;
        size_t size = 16 + (random >> 8) % (1 + (16u << (random >> 28) % 6));
        CHECK(blocks[at] = malloc(size));
        memset(blocks[at], 1, size);
    }
}

static void *give(void *nothing)
{
    for (int at = 0; at < BLOCKS; at++)
        free(blocks[at]);
    return nothing;
}

int main(void)
{
    CHECK(blocks = malloc(BLOCKS * sizeof *blocks));
    long table = BLOCKS * (long)sizeof *blocks >> 10;
    take();
    CHECK(resident() > 150 << 10);
    give(NULL);
    CHECK(resident() - table <= LEFT_MAX);
    take();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, give, NULL) == 0 && pthread_join(thread, NULL) == 0);
    free(malloc(1 << 20)); /* whoever owns them takes back what others freed */
    CHECK(resident() - table <= LEFT_MAX);
    puts("it went back");
    return 0;
}
