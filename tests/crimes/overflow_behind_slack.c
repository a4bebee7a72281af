/* A 13-byte block ends in three bytes of slack; the sixteenth byte behind its start is no slack. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(13); // ALLOCATED
    p[TWIN(16, 12)] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
