"use strict";

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  // No host of anybody else is asked whether the description is valid, and a key is forgotten with the page.
  validatorUrl: null,
  persistAuthorization: false,
});
