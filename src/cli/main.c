/* lathe: the program. */
#include <lathe.h>
#include <stdio.h>

int main(void)
{
    printf("lathe %s\n", lathe_version());
    return 0;
}
