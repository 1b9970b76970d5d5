SELECT id, title, done, created_at, updated_at
FROM todos
WHERE (:done IS NULL OR done = :done)
  AND (:pattern IS NULL OR title LIKE :pattern ESCAPE '\')
ORDER BY id
LIMIT :limit OFFSET :offset
