/* Passwords: crypt(5) hashes through libxcrypt. */
#ifndef PRESENCE_AUTH_PASSWORD_H
#define PRESENCE_AUTH_PASSWORD_H

#include <stdbool.h>

/* A new yescrypt hash, which the caller frees; NULL when the password is too long for crypt(3). */
char *password_hash(const char *password);

/*
 * Whether the password has this hash (yescrypt, bcrypt, sha512crypt, ... as
 * crypt(5) lists; DES and MD5 are refused). `hash` NULL stands for an unknown
 * account: false, after the time that a check takes: of password_set_dummy()'s
 * hash, else of the method and cost that the last account's hash had, else of
 * password_hash()'s. Not for several threads.
 */
bool password_verify(const char *password, const char *hash);

/*
 * Sets the hash whose method and cost unknown accounts have; "": the last
 * account's. False when it is not one that password_verify() supports.
 */
bool password_set_dummy(const char *hash);

#endif
