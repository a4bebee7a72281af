/* The crime in a thread that blocks every signal, as the worker threads of servers do. */
#include "twin.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void *worker(void *p)
{
    free(TWIN(p, NULL)); // FREED
    *(volatile char *)p = 1; // CRIME
    return NULL;
}

int main(void)
{
    sigset_t all;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_create(&thread, NULL, worker, malloc(24)); // ALLOCATED
    puts(pthread_join(thread, NULL) == 0 ? "joined" : "lost");
    return 0;
}
