SELECT count(*)
FROM todos
WHERE (:done IS NULL OR done = :done)
  AND (:pattern IS NULL OR title LIKE :pattern ESCAPE '\')
