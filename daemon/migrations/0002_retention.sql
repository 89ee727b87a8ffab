-- Retention looks for old requests without reading all of them.
CREATE INDEX requests_by_age ON requests (created_at);
