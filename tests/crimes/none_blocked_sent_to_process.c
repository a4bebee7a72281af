/* Not ours: both signals are sent to the process and wait; sigwaitinfo takes one as sent. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile sig_atomic_t came;

static void on_signal(int number) { came = number; }
int main(void)
{
    sigset_t set;
    siginfo_t info = { 0 };
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    sigqueue(getpid(), SIGSEGV, (union sigval){ .sival_int = 77 });
    kill(getpid(), SIGBUS);
    sigemptyset(&set), sigaddset(&set, SIGSEGV);
    int number = sigwaitinfo(&set, &info);
    printf("%d %d %d %d\n", number, info.si_code, info.si_value.sival_int, came);
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    printf("%d\n", came);
}
