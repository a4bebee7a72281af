/* Not ours: writes a text that lives in read-only memory. */
#include <stdio.h>

int main(void)
{
    char *volatile text = "constant";
    puts(text);
    fflush(stdout);
    text[0] = 'C';
    return 0;
}
