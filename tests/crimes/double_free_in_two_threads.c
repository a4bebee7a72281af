/* Two threads free the same block. */
#include "twin.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *freer(void *p)
{
    free(p); // CRIME, FREED
    return NULL;
}

int main(void)
{
    void *p = malloc(64); // ALLOCATED
    pthread_t first, second;
    pthread_create(&first, NULL, freer, p);
    pthread_create(&second, NULL, freer, TWIN(p, NULL));
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    puts("freed");
    return 0;
}
