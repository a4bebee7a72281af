/* A program that lives by its own faults: the handler opens the page and the access goes on; a
   second fault leaves by siglongjmp; in the end the default action is restored and kills. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char *page;
static sigjmp_buf back;
static volatile sig_atomic_t opened;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (number != SIGSEGV || info->si_addr != page + 5)
        siglongjmp(back, 1);
    opened++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && sigaltstack(&stack, NULL) == 0);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    page[5] = 'x';
    CHECK(opened == 1 && page[5] == 'x');
    if (sigsetjmp(back, 1) == 0) {
        *(volatile char *)16 = 1;
        CHECK(!"the null page was written");
    }
    CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
    pid_t pid = fork();
    if (pid == 0) {
        *(volatile char *)16 = 1;
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    puts("its own faults stayed its own");
    fflush(stdout);
    *(volatile char *)16 = 1;
    return 0;
}
