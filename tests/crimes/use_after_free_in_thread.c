/* The main thread frees what another thread still reads. */
#include "twin.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *reader(void *p)
{
    printf("%d\n", ((volatile int *)p)[3]); // CRIME
    return NULL;
}

int main(void)
{
    int *numbers = calloc(8, sizeof *numbers); // ALLOCATED
    pthread_t thread;
    free(TWIN(numbers, NULL)); // FREED
    pthread_create(&thread, NULL, reader, numbers);
    pthread_join(thread, NULL);
    return 0;
}
