/* A 13-byte block has three bytes of slack; the first of them is written. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(13); // ALLOCATED
    p[TWIN(13, 12)] = 0; // CRIME
    puts("written");
    free((void *)p); // FOUND
    return 0;
}
