/* Threads that are cancelled or leave in the middle of their work, and vfork beside them. */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 300 };

static void clean(void *block) { free(block); }

static void *work(void *ends_itself)
{
    char *block = malloc(3000);
    pthread_cleanup_push(clean, block);
    for (int round = 0;; round++) {
        fill(block, 3000, (unsigned)round);
        free(malloc(100 + (size_t)round % 5000));
        CHECK(is_filled(block, 3000, (unsigned)round));
        if (ends_itself && round == 20)
            pthread_exit(NULL);
        pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

int main(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t leaves, cancelled;
        CHECK(pthread_create(&leaves, NULL, work, "itself") == 0);
        CHECK(pthread_create(&cancelled, NULL, work, NULL) == 0);
        if (round % 10 == 0) {
            int status;
            pid_t child = vfork();
            if (child == 0) {
                execl("/bin/true", "true", (char *)NULL);
                _exit(9);
            }
            CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        }
        CHECK(pthread_cancel(cancelled) == 0);
        void *told;
        CHECK(pthread_join(cancelled, &told) == 0 && told == PTHREAD_CANCELED);
        CHECK(pthread_join(leaves, &told) == 0 && told == NULL);
    }
    puts("they ended, and their blocks were freed");
    return 0;
}
