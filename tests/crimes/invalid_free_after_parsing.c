/* Frees the pointer that parsing has moved, not the one that strdup returned. */
#define _GNU_SOURCE
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *text = strdup("   with blanks"); // ALLOCATED
    char *volatile rest = text;
    while (*rest == ' ')
        rest++;
    puts(rest);
    free(TWIN(rest, text)); // CRIME
    return 0;
}
