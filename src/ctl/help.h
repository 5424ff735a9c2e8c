/* presencectl: what it says of its commands, to people and to a shell. */
#ifndef PRESENCE_CTL_HELP_H
#define PRESENCE_CTL_HELP_H

#include "ctl/ctl.h"

/* About the command that the arguments name, or a word of several; else about all of them. */
void help_print(char **args, int count);
/* The same for `help`, which has no command of another name. */
enum ctl_exit help_command(char **args, int count);

/* The script with which bash completes them. */
enum ctl_exit completion_print(void);

#endif
