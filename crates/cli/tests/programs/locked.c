/* mlockall: what is only reserved is not filled with memory. A program that may lock little is
   refused, as it is without the library. */
#include "check.h"
#include "resident.h"
#include <errno.h>
#include <sys/mman.h>

int main(void)
{
    char *before;
    CHECK(before = malloc(1000));
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0 || errno == ENOMEM || errno == EPERM);
    char *block;
    CHECK(block = malloc(1 << 20));
    memset(block, 1, 1 << 20);
    CHECK(resident() < 64 << 10);
    free(block);
    free(before);
    puts("nothing else is locked");
    return 0;
}
