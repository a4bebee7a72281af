/* Destructors of thread-local values that allocate, several times over, in thousands of threads:
   nothing of them stays. */
#include "check.h"
#include "resident.h"
#include <pthread.h>

enum { THREADS = 6000, WARM = 500, TIMES = 4, GROWTH_MAX = 4096 };

static pthread_key_t key;

static void destroy(void *left)
{
    void *small = malloc(900), *large = malloc(70000);
    CHECK(small && large);
    fill(small, 900, 3);
    free(large);
    CHECK(is_filled(small, 900, 3));
    free(small);
    if ((size_t)left > 1)
        pthread_setspecific(key, (char *)left - 1);
}

static void *work(void *block)
{
    pthread_setspecific(key, (void *)(size_t)TIMES);
    free(block);
    return malloc(48);
}

int main(void)
{
    long before = 0;
    CHECK(pthread_key_create(&key, destroy) == 0);
    for (int at = 0; at < THREADS; at++) {
        pthread_t thread;
        void *left;
        CHECK(pthread_create(&thread, NULL, work, malloc(64)) == 0);
        CHECK(pthread_join(thread, &left) == 0);
        free(left);
        if (at == WARM)
            before = resident();
    }
    CHECK(resident() - before <= GROWTH_MAX);
    puts("nothing of them stays");
    return 0;
}
