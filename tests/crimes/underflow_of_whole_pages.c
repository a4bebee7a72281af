/* Writes before a block that fills its pages: both of its sides are guarded. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(8192); // ALLOCATED
    p[TWIN(-1, 0)] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
