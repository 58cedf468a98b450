// The demo shop: a basket that counts, and buttons that open the chat.
const basket = document.getElementById("basket");
let count = 0;

for (const button of document.querySelectorAll(".add")) {
  button.addEventListener("click", () => {
    count += 1;
    basket.textContent = String(count);
  });
}

for (const button of document.querySelectorAll("[data-chat]")) {
  button.addEventListener("click", () => window.Foyer?.open());
}
