/* A signal handler that allocates, frees and keeps blocks while malloc is interrupted: more than
   POSIX allows, and what this heap promises. */
#include "check.h"
#include <signal.h>
#include <sys/time.h>

enum { KEPT = 64, SIGNALS = 2000 };

static unsigned char *kept[KEPT];
static volatile sig_atomic_t count;

static size_t size_of(int number)
{
    return 8 + (size_t)number * 37 % 3000 + (number % 50 == 0) * 90000;
}

static void handle(int signal)
{
    int number = count++, at = number % KEPT;
    unsigned char *other = malloc(24);
    CHECK(other && signal == SIGPROF);
    if (kept[at])
        CHECK(is_filled(kept[at], size_of(number - KEPT), (unsigned)(number - KEPT)));
    free(kept[at]);
    CHECK(kept[at] = malloc(size_of(number)));
    fill(kept[at], size_of(number), (unsigned)number);
    free(other);
}

static void churn(void)
{
    struct { unsigned char *block; size_t size; unsigned mark; } own[128] = { 0 };
    unsigned random = 7;
    while (count < SIGNALS) {
        random = random * 1664525 + 1013904223;
        unsigned at = random >> 25, size = random % 97 == 0 ? 80000 : (random >> 8) % 500;
        CHECK(!own[at].block || is_filled(own[at].block, own[at].size, own[at].mark));
        if (random >> 9 & 1) {
            CHECK(own[at].block = realloc(own[at].block, size + 1));
        } else {
            free(own[at].block);
            CHECK(own[at].block = malloc(size + 1));
        }
        own[at].size = size, own[at].mark = random;
        fill(own[at].block, size, random);
    }
}

int main(void)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
    CHECK(sigaction(SIGPROF, &action, NULL) == 0 && setitimer(ITIMER_PROF, &often, NULL) == 0);
    churn();
    CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
    puts("handlers and their program kept their blocks apart");
    return 0;
}
