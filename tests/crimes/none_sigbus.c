/* Not ours: a page of a mapped file behind the end of the file. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(void)
{
    FILE *file = tmpfile();
    char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
    puts("before");
    fflush(stdout);
    return *(volatile char *)p;
}
