/* Not ours: the handler ends the thread that faulted, and the program goes on. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

static void on_fault(int number) { pthread_exit((void *)3); }

static void *work(void *nowhere) { return *(void **volatile)nowhere; }

int main(void)
{
    pthread_t thread;
    sigset_t set;
    void *result = NULL;
    signal(SIGSEGV, on_fault);
    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, work, NULL);
    pthread_join(thread, &result);
    printf("%d\n", (int)(long)result);
}
