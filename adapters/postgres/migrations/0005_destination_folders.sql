-- Ids of folders at providers that know folders by id and allow two of one name: whoever is first decides, for all workers.
CREATE TABLE starferry.destination_folder (
    storage_config text NOT NULL,
    path           text NOT NULL,
    folder         text NOT NULL,
    PRIMARY KEY (storage_config, path)
);
