-- The directory's own tables (SQLite and PostgreSQL), made by `presencectl directory init`.
-- A site with tables of its own needs none of this: it sets account_query and friends_query.

CREATE TABLE IF NOT EXISTS users (
    id            INTEGER PRIMARY KEY,
    email         VARCHAR(254) NOT NULL,
    name          VARCHAR(200) NOT NULL,
    password_hash VARCHAR(512) NOT NULL
);

-- Anna@example.com and anna@example.com are one account.
CREATE UNIQUE INDEX IF NOT EXISTS users_email ON users (lower(email));

-- One row for each direction: friendship is mutual when both are there.
CREATE TABLE IF NOT EXISTS friends (
    user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    friend_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, friend_id),
    CHECK (user_id <> friend_id)
);
