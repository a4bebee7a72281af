/* Not ours: the program faults on its own pages on purpose, and its handler opens them. */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static char *pages;

static void on_fault(int number, siginfo_t *info, void *context)
{
    long page = ((char *)info->si_addr - pages) / 4096;
    mprotect(pages + page * 4096, 4096, PROT_READ | PROT_WRITE);
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    pages = mmap(NULL, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < 16 * 4096; i += 1000)
        pages[i] = i / 1000;
    printf("%d\n", pages[65000]);
    return 0;
}
