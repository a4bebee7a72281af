/* A hundred threads that have one block each cost little more than their stacks. */
#include "check.h"
#include "resident.h"
#include <pthread.h>

enum { THREADS = 100, COST_MAX = 16 << 10 };

static pthread_barrier_t barrier;

static void *work(void *nothing)
{
    void *block = malloc(64);
    fill(block, 64, 1);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    CHECK(is_filled(block, 64, 1));
    free(block);
    return nothing;
}

int main(void)
{
    pthread_t threads[THREADS];
    pthread_attr_t small;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 65536) == 0);
    long before = resident();
    for (int at = 0; at < THREADS; at++)
        CHECK(pthread_create(&threads[at], &small, work, NULL) == 0);
    pthread_barrier_wait(&barrier);
    long cost = resident() - before;
    pthread_barrier_wait(&barrier);
    for (int at = 0; at < THREADS; at++)
        pthread_join(threads[at], NULL);
    fprintf(stderr, "%ld KiB\n", cost);
    CHECK(cost <= COST_MAX);
    puts("they cost little");
    return 0;
}
