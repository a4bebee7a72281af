/* A block of valloc starts at a page: behind its 100 bytes the rest of the page is slack. */
#include "twin.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = valloc(100); // ALLOCATED
    p[TWIN(3000, 99)] = 1; // CRIME
    puts("written");
    free((void *)p); // FOUND
    return 0;
}
