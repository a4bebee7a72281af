/* The terminating zero of a 5-letter text falls behind a 5-byte block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    const char *text = "hello";
    char *p = malloc(strlen(text) + TWIN(0, 1)); // ALLOCATED
    strcpy(p, text); // CRIME
    puts(p);
    free(p); // FOUND
    return 0;
}
