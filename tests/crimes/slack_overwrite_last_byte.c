/* A 13-byte block has three bytes of slack; the last of them is written. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(13); // ALLOCATED
    p[TWIN(15, 12)] = 'z'; // CRIME
    puts("written");
    free((void *)p); // FOUND
    return 0;
}
