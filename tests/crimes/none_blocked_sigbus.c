/* Not ours: a blocked SIGBUS kills; with SIGSEGV blocked instead it has its handler. */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static char *volatile page;

static void on_fault(int number)
{
    sigset_t set;
    write(1, "handled\n", 8);
    sigfillset(&set), sigprocmask(SIG_SETMASK, &set, NULL);
    _exit(*page);
}

int main(void)
{
    sigset_t set;
    page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(tmpfile()), 0);
    signal(SIGBUS, on_fault);
    sigemptyset(&set), sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_SETMASK, &set, NULL);
    return *page;
}
