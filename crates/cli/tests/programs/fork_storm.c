/* Forks while four threads are inside malloc and free; each child allocates in every size. */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, CHILDREN = 150, KEPT = 200, LIMIT = 60 };

static volatile int stop;

static size_t any_size(unsigned random)
{
    return random % 89 == 0 ? 250000 + random % 100000 : random % 1800;
}

static void churn(unsigned random, int rounds)
{
    unsigned char *kept[KEPT] = { 0 };
    for (int round = 0; !stop && round != rounds; round++) {
        random = random * 1664525 + 1013904223;
        unsigned char **slot = &kept[random >> 12 & 127];
        CHECK(!*slot || **slot == 9);
        free(*slot);
        CHECK(*slot = malloc(1 + any_size(random >> 8)));
        **slot = 9;
    }
    for (int at = 0; at < KEPT; at++)
        free(kept[at]);
}

static void *work(void *seed)
{
    churn((unsigned)(size_t)seed, -1);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (size_t at = 0; at < THREADS; at++)
        CHECK(pthread_create(&threads[at], NULL, work, (void *)(at + 5)) == 0);
    for (int at = 0; at < CHILDREN; at++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            alarm(LIMIT); /* a child that hangs dies by it */
            churn((unsigned)at, 2000);
            _exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    stop = 1;
    for (int at = 0; at < THREADS; at++)
        pthread_join(threads[at], NULL);
    puts("no child hung, none fell");
    return 0;
}
