/* The C library reads a freed text. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *text = calloc(1, 64); // ALLOCATED
    strcpy(text, "gone");
    free(TWIN(text, NULL)); // FREED
    printf("%zu\n", strlen(text)); // CRIME
    return 0;
}
