/* Forks and execs, also while another thread is inside malloc all the time. */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 60, BLOCKS = 200, SIZE = 100 };

static char *blocks[BLOCKS];
static volatile int stop;

static void *churn(void *nothing)
{
    while (!stop)
        free(malloc(40));
    return nothing;
}

static void renew(void)
{
    for (int at = 0; at < BLOCKS; at++) {
        CHECK(!blocks[at] || is_filled(blocks[at], SIZE, (unsigned)at));
        free(blocks[at]);
        CHECK(blocks[at] = malloc(SIZE));
        fill(blocks[at], SIZE, (unsigned)at);
    }
}

static void child(int round, char *program)
{
    renew();
    char number[12];
    snprintf(number, sizeof number, "%d", round);
    if (round % 3 == 0)
        execl(program, program, number, (char *)NULL);
    (round % 3 == 1 ? exit : _exit)(round % 7);
}

int main(int argc, char **argv)
{
    renew();
    if (argc > 1)
        return atoi(argv[1]) % 7;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, churn, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            child(round, argv[0]);
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == round % 7 << 8);
    }
    stop = 1;
    pthread_join(thread, NULL);
    renew();
    CHECK(system("exit 5") == 5 << 8);
    puts("all children came back");
    return 0;
}
