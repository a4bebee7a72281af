/* Writes behind a copy of a text that strdup made. */
#define _GNU_SOURCE
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *p = strdup("thirty-one letters and one zero"); // ALLOCATED
    volatile char *end = p + strlen(p) + TWIN(1, 0);
    *end = 0; // CRIME
    puts(p);
    free(p);
    return 0;
}
