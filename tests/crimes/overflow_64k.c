/* Writes behind a block of exactly 64 KiB. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(65536); // ALLOCATED
    p[TWIN(65536, 65535)] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
