# Makes the database where there is none, and serves it.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf %s "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}" > /tmp/password
    initdb --no-sync --auth-host=scram-sha-256 --auth-local=trust --username=books --pwfile=/tmp/password > /dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    printf 'CREATE DATABASE books;\n' | postgres --single -j template1 > /dev/null
    printf 'CREATE TABLE entries (id SERIAL PRIMARY KEY, text TEXT NOT NULL);\n' | postgres --single -j books > /dev/null
fi
exec postgres -c 'listen_addresses=*'
