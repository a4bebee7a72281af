/* The crime in one of four threads that all allocate. */
#include "twin.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *worker(void *number)
{
    volatile char *p = malloc(160); // ALLOCATED
    for (int i = 0; i < 1000; i++)
        free(malloc(i));
    p[(long)number == 2 ? TWIN(160, 159) : 0] = 1; // CRIME
    free((void *)p);
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, worker, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return puts("joined") < 0;
}
