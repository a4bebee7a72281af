/* Another thread frees what the main thread still writes. */
#include "twin.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *freer(void *p)
{
    free(TWIN(p, NULL)); // FREED
    return NULL;
}

int main(void)
{
    volatile int *numbers = calloc(8, sizeof *numbers); // ALLOCATED
    pthread_t thread;
    pthread_create(&thread, NULL, freer, (void *)numbers);
    pthread_join(thread, NULL);
    numbers[2] = 1; // CRIME
    puts("written");
    return 0;
}
