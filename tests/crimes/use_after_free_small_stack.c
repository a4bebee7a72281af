/* The crime in a thread whose stack is as small as a stack may be. */
#include "twin.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *writer(void *p)
{
    free(TWIN(p, NULL)); // FREED
    *(volatile char *)p = 1; // CRIME
    return NULL;
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 16384);
    pthread_create(&thread, &attributes, writer, malloc(24)); // ALLOCATED
    puts(pthread_join(thread, NULL) == 0 ? "joined" : "lost");
    return 0;
}
