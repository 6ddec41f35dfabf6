-- Sealed secrets (adapters/vault). Nothing here can be read without a master key, which is never in the database.
CREATE SCHEMA vault;

-- one random data key an owner, wrapped by the master key named; version counts the owner's puts
CREATE TABLE vault.data_key (
    owner         text  PRIMARY KEY,
    master_key_id text  NOT NULL,
    wrapped       bytea NOT NULL,
    version       int   NOT NULL CHECK (version >= 1)
);
-- finds what a rotation still has to move, and which master keys are in use
CREATE INDEX data_key_master_key_id_idx ON vault.data_key (master_key_id, owner);

-- version is the owner's when this field was put: it is bound into the ciphertext
CREATE TABLE vault.secret (
    owner      text  NOT NULL REFERENCES vault.data_key ON DELETE CASCADE,
    field      text  NOT NULL,
    version    int   NOT NULL,
    nonce      bytea NOT NULL,
    ciphertext bytea NOT NULL,
    PRIMARY KEY (owner, field)
);
